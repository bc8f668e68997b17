"""From a corpus on disk to padded batches of parallel speech."""
