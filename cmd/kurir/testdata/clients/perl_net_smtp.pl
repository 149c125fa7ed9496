# A script with Perl's standard library. usage: perl perl_net_smtp.pl HOST PORT RECIPIENT

use strict;
use warnings;
use Net::SMTP;

my ($host, $port, $to) = @ARGV;

my $smtp = Net::SMTP->new($host, Port => $port) or die "no connection: $@";
open my $message, '<', 'message.eml' or die $!;
$smtp->mail('app@example.com') && $smtp->to($to) && $smtp->data(<$message>) or die $smtp->message;
$smtp->quit;
