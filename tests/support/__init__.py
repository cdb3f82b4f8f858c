"""What the tests share: servers, stores, faces, graphs."""
