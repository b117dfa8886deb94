"""What an operator uses. The service never imports it."""
