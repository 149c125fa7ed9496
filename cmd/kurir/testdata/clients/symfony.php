<?php
// A site with Symfony Mailer, as Laravel has it too.
// usage: php symfony.php HOST PORT RECIPIENT

require '/usr/share/php/Symfony/Component/Mailer/autoload.php';

use Symfony\Component\Mailer\Mailer;
use Symfony\Component\Mailer\Transport;
use Symfony\Component\Mime\Address;
use Symfony\Component\Mime\Email;

[, $host, $port, $to] = $argv;

(new Mailer(Transport::fromDsn("smtp://$host:$port")))->send((new Email())
    ->from(new Address('app@example.com', 'Müller & Söhne'))
    ->to($to)
    ->subject('Grüße & Küsse – Nº 5')
    ->text(file_get_contents('text'))
    ->attachFromPath('octets.bin'));
