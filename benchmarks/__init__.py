"""`vms bench`: what the product costs and how fast it answers, beside ffmpeg in the same run."""
