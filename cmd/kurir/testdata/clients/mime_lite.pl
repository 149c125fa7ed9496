# A form mailer with MIME::Lite. usage: perl mime_lite.pl HOST PORT RECIPIENT

use strict;
use warnings;
use Encode;
use MIME::Lite;

my ($host, $port, $to) = @ARGV;

open my $text, '<', 'text' or die $!;
my $message = MIME::Lite->new(
    From    => encode('MIME-Header', decode('UTF-8', 'Müller & Söhne')) . ' <app@example.com>',
    To      => $to,
    Subject => encode('MIME-Header', decode('UTF-8', 'Grüße & Küsse – Nº 5')),
    Type    => 'multipart/mixed',
);
$message->attach(Type => 'text/plain; charset=utf-8', Data => [<$text>], Encoding => 'quoted-printable');
$message->attach(Type => 'application/octet-stream', Path => 'octets.bin', Disposition => 'attachment');
$message->send('smtp', $host, Port => $port) or die 'not sent';
