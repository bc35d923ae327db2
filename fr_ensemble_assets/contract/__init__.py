"""What a verdict is about: a frozen agreement, made before anyone trains."""
