"""MLflow: publishing into it and reading back."""
