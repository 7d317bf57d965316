# Takes a job's connections to its proxy (127.0.0.1:3128) to the socket behind which the service's proxy listens, for
# supervisor.pl, which loads this only for jobs with a network. It runs as a process of its own beside the program, which
# has the same uid and may kill it: that is the end of its own way out, and of nothing else.
use strict;
use Socket;

sub PROXY_PORT () { 3128 } sub BACKLOG () { 128 } sub MAX_FORWARDED () { 128 } sub BUFFER_BYTES () { 1 << 16 }
sub F_GETFL () { 3 } sub F_SETFL () { 4 } sub O_NONBLOCK () { 04000 } sub EAGAIN () { 11 } sub EINTR () { 4 }

# Listening before the program runs, so that its first connection is taken.
sub listen_for_program {
    socket(my $listener, PF_INET, SOCK_STREAM, 0) or give_up("No socket for the proxy can be made: $!");
    bind($listener, sockaddr_in(PROXY_PORT, INADDR_LOOPBACK)) or give_up("The proxy's port cannot be bound: $!");
    listen($listener, BACKLOG) or give_up("The proxy's port cannot be listened on: $!");
    return $listener;
}

# Never returns. A connection is two flows, one for each direction: {from, to, buffer, at_end}, by the number of the
# descriptor that it reads from; `other` is the flow back. What has not been written yet holds back the reading.
sub forward_connections {
    my ($listener, $path) = @_;
    my %flows;
    for (;;) {
        my ($readable, $writable) = ('', '');
        vec($readable, fileno $listener, 1) = 1 if keys %flows < 2 * MAX_FORWARDED;
        for my $flow (values %flows) {
            vec($readable, fileno $flow->{from}, 1) = 1 if !$flow->{at_end} && length $flow->{buffer} < BUFFER_BYTES;
            vec($writable, fileno $flow->{to}, 1) = 1 if length $flow->{buffer};
        }
        next if select($readable, $writable, undef, undef) < 1;
        for my $fd (keys %flows) {
            my $flow = $flows{$fd} or next;
            my $is_alive = 1;
            $is_alive = read_flow($flow) if vec($readable, $fd, 1);
            $is_alive &&= write_flow($flow) if vec($writable, fileno $flow->{to}, 1) || $flow->{at_end};
            drop(\%flows, $flow) if !$is_alive || ($flow->{is_over} && $flow->{other}{is_over});
        }
        accept_one($listener, $path, \%flows) if vec($readable, fileno $listener, 1);
    }
}

sub accept_one {
    my ($listener, $path, $flows) = @_;
    accept(my $client, $listener) or return;
    socket(my $proxy, PF_UNIX, SOCK_STREAM, 0) or return;
    connect($proxy, sockaddr_un($path)) or return;
    for my $handle ($client, $proxy) { fcntl($handle, F_SETFL, fcntl($handle, F_GETFL, 0) | O_NONBLOCK) }
    my $out = { from => $client, to => $proxy, buffer => '' };
    my $back = { from => $proxy, to => $client, buffer => '', other => $out };
    $out->{other} = $back;
    $flows->{ fileno $client } = $out;
    $flows->{ fileno $proxy } = $back;
}

# Both return false when the connection broke.
sub read_flow {
    my ($flow) = @_;
    my $got = sysread($flow->{from}, $flow->{buffer}, BUFFER_BYTES, length $flow->{buffer});
    return is_passing() if !defined $got;
    $flow->{at_end} = 1 if $got == 0;
    return 1;
}

sub write_flow {
    my ($flow) = @_;
    return 1 if $flow->{is_over};
    if (length $flow->{buffer}) {
        my $count = syswrite($flow->{to}, $flow->{buffer});
        return is_passing() if !defined $count;
        substr($flow->{buffer}, 0, $count, '');
    }
    if ($flow->{at_end} && !length $flow->{buffer}) {
        shutdown($flow->{to}, 1);
        $flow->{is_over} = 1;
    }
    return 1;
}

sub is_passing { return $! == EAGAIN || $! == EINTR }

sub drop {
    my ($flows, $flow) = @_;
    my $other = $flow->{other};
    delete $flows->{ fileno $_->{from} } for $flow, $other;
    # They hold each other.
    delete $other->{other};
    delete $flow->{other};
    close $_->{from} for $flow, $other;
}

1;
