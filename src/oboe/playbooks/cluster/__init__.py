"""Operations of a cluster."""
