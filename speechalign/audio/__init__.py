"""From any audio file to the features that a Whisper encoder reads."""
