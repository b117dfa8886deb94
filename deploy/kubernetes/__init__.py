"""Kubernetes with kustomize: base/, and an overlay for each stage."""
