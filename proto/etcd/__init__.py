"""etcd's range read, generated from kv.proto."""
