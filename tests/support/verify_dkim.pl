# Verifies every DKIM signature of the message on standard input with Mail::DKIM, one result a line.
# Arguments: name=record pairs, the DNS as far as it matters.
use strict;
use warnings;

package FixedResolver;
use Net::DNS;

sub new { my ($class, %records) = @_; return bless {%records}, $class; }

sub send {
    my ($self, $name, $type) = @_;
    my $packet = Net::DNS::Packet->new($name, $type);
    my $record = $self->{$name};
    $packet->push(answer => Net::DNS::RR->new(owner => $name, type => 'TXT', txtdata => $record)) if $record;
    return $packet;
}

sub errorstring { return 'NOERROR'; }

package main;
use Mail::DKIM::DNS;
use Mail::DKIM::Verifier;

Mail::DKIM::DNS::resolver(FixedResolver->new(map { split /=/, $_, 2 } @ARGV));
my $verifier = Mail::DKIM::Verifier->new;
binmode STDIN;
while (read STDIN, my $block, 65536) { $verifier->PRINT($block); }
$verifier->CLOSE;
print $_->algorithm, ' ', $_->result_detail, "\n" for $verifier->signatures;
