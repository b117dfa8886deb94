"""The service: files are the chassis, folders are the features (see ARCHITECTURE.md)."""
