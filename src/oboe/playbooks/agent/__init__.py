"""Operations of one agent, kept in its own home."""
