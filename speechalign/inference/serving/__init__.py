"""A server: OpenAI's audio endpoints and a page, over batches that all requests share."""
