"""DigitalOcean App Platform: .do/ at the root, app.staging.yaml here."""
