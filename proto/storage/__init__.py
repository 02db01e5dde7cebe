"""What the API server stores, generated from encrypted_object.proto."""
