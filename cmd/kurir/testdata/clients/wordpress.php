<?php
// A WordPress that sends by SMTP: its own wp_mail() and PHPMailer, told where
// to go by a hook, as its plugins for SMTP do. There is no database behind it.
// usage: php wordpress.php HOST PORT RECIPIENT

[, $host, $port, $to] = $argv;

define('ABSPATH', getenv('KURIR_PEER_ROOT') . '/usr/share/wordpress/');
define('WPINC', 'wp-includes');
require ABSPATH . WPINC . '/plugin.php';
require ABSPATH . WPINC . '/load.php';
require ABSPATH . WPINC . '/class-wp-error.php';
require ABSPATH . WPINC . '/formatting.php';

function get_bloginfo($what) { return $what === 'charset' ? 'UTF-8' : ''; }
function network_home_url() { return 'http://example.com/'; }
function __($text) { return $text; }

require ABSPATH . WPINC . '/pluggable.php';

add_action('phpmailer_init', function ($mailer) use ($host, $port) {
    $mailer->isSMTP();
    $mailer->Host = $host;
    $mailer->Port = (int) $port;
});
add_action('wp_mail_failed', function ($error) { fwrite(STDERR, $error->get_error_message() . "\n"); });

$headers = ['From: Müller & Söhne <app@example.com>'];
exit(wp_mail($to, 'Grüße & Küsse – Nº 5', file_get_contents('text'), $headers, ['octets.bin']) ? 0 : 1);
