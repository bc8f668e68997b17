"""The micro world: a small parallel language, its speech, and the models pretrained on it."""
