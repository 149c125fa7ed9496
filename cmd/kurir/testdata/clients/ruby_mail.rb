# A service with the mail gem, as Rails has it. usage: ruby ruby_mail.rb HOST PORT RECIPIENT

require 'mail'

host, port, to = ARGV

Mail.defaults { delivery_method :smtp, address: host, port: port.to_i }
Mail.deliver do
  charset = 'UTF-8'
  from 'Müller & Söhne <app@example.com>'
  to to
  subject 'Grüße & Küsse – Nº 5'
  body File.read('text', encoding: 'UTF-8')
  add_file 'octets.bin'
end
