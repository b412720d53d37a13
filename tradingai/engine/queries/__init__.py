"""Read-only pictures of a home, from the store and from manifests."""
