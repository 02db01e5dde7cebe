"""The wire: what Kubernetes fixed (`kmsv2`, `storage`), what etcd fixed (`etcd`), what the command line speaks (`admin`).

The .proto files are written by hand; everything else here comes from `make proto`.
"""
