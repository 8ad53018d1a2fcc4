"""Stage 3: Lorentz contrastive learning."""
