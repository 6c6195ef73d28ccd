"""How agents talk: the cluster's authority, calls over mutual TLS, and the handshake before there is a certificate."""
