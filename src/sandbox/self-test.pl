# Runs as a guest and tries to get out: prints one line per thing that it should not have been able to do, then "done".
# Where there is no wall this is the host, and may be root: so each attempt that succeeds must change nothing there. What
# is made has a name of its own and is taken back, and the mount is over a directory of our own.
#   perl -e <this> CANARY_FILE PORT MARKER UNSHARE_NR MOUNT_NR UMOUNT2_NR KEYCTL_NR EXPECTED_VARIABLES
use strict;
use Socket;
my ($canary, $port, $marker, $unshare_nr, $mount_nr, $umount_nr, $keyctl_nr, $variables) = @ARGV;

my %status;
open(my $status, '<', '/proc/self/status') or print "it cannot read its own /proc/self/status\n";
while (<$status>) { $status{$1} = $2 if /^(\w+):\s*(\S+)/ }
print "it runs as root\n" if $< == 0 || $> == 0;
print "it holds capabilities\n" if grep { ($status{$_} // 1) !~ /^0+$/ } qw(CapInh CapPrm CapEff CapBnd CapAmb);
print "it can gain privileges (no_new_privs is off)\n" if ($status{NoNewPrivs} // 0) ne '1';

# Without a filter keyctl answers with a number or ENOKEY, and the ioctl, of a pipe, ENOTTY: neither changes anything. A
# container's filter may refuse keyctl too, but knows nothing of the ioctl.
sub EPERM () { 1 } sub SECCOMP_MODE_FILTER () { 2 } sub TIOCSTI () { 0x5412 }
sub KEYCTL_GET_KEYRING_ID () { 0 } sub KEY_SPEC_SESSION_KEYRING () { -3 }
print "its system calls are not filtered\n" if ($status{Seccomp} // 0) ne SECCOMP_MODE_FILTER;
print "it can reach the kernel's keyrings\n"
    if syscall($keyctl_nr, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0) != -1 || $! + 0 != EPERM;
print "it can type into a terminal\n" if ioctl(STDOUT, TIOCSTI, my $typed = 'x') || $! + 0 != EPERM;

print "it sees the host's files\n" if -e $canary;
print "it sees variables of the service\n" if join(',', sort keys %ENV) ne $variables;
print "it can read PID 1's environment\n" if open(my $environ, '<', '/proc/1/environ');
for my $directory ('/', '/usr', '/etc', '/dev', '/run') {
    my $probe = "$directory/probe-$marker";
    next if !open(my $handle, '>', $probe);
    unlink $probe;
    print "it can write to $directory\n";
}

socket(my $socket, PF_INET, SOCK_STREAM, 0);
print "it reaches the host's network\n" if connect($socket, sockaddr_in($port, inet_aton('127.0.0.1')));

sub CLONE_NEWUSER () { 0x10000000 }
my ($source, $target, $type) = ('none', "mount-$marker", 'tmpfs');
mkdir $target or print "it cannot write to its working directory\n";
if (syscall($mount_nr, $source, $target, $type, 0, 0) == 0) {
    syscall($umount_nr, $target, 0);
    print "it can mount file systems\n";
}
print "it can make user namespaces\n" if syscall($unshare_nr, CLONE_NEWUSER) == 0;

# A daemon that must not outlive this program; the service looks for its marker on the host.
if (fork == 0) { setpgrp; exec $^X, '-e', 'sleep 600', $marker }
print "done\n";
