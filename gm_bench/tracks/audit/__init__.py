"""What metrics say of real images disturbed on purpose."""
