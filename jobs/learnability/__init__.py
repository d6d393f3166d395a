"""What to train on next: losses of two models, draws by them, and what the draws are worth."""
