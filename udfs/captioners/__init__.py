"""Captioners: plug-ins that write a caption for each prompt."""
