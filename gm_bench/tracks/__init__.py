"""What is measured of trained models: one folder a track."""
