// Package token gets the OAuth2 access tokens that a provider wants instead of
// a password, renews them ahead of need, and keeps what it must not lose.
//
// It promises:
//
//   - one request at a time for each account, however many ask; those who
//     wait share its answer;
//   - a token is renewed when less than ten minutes of it are left (or half of
//     its life, if that is less), and as long as it is good a failed renewal
//     troubles nobody;
//   - no storm: failures are followed by a pause that doubles from 5 s to 5
//     min, in which callers get the last one; a token that was refused though
//     it should be good is replaced once a minute at most;
//   - a refresh token that the provider rotated is on the disk, flushed,
//     before the new access token is used; the file is only for its owner;
//   - every failure is an *explain.Failure at explain.StageAuth that holds the
//     route and never a message, and neither it nor the log has a token, a
//     secret or an assertion in it.
//
// Reading order: token.go (Options and Source), source.go (when a token is
// got), flow.go (what is asked of the provider), assertion.go (how a key signs
// for us), endpoint.go (asking, and what can go wrong), keep.go (the file),
// command.go (tokens of a command instead), signin.go (how a person signs in
// for the first refresh token).
package token
