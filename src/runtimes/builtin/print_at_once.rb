# Makes what a job prints seen when it is printed: into a pipe, Ruby writes once there are 8 KiB of it.
$stdout.sync = true
