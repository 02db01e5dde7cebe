"""Which EncryptionConfigurations this node's API server is told of, by whatever runs it."""
