// OpenSSL is half of what this program would consist of, and the name service works only in a program that can load
// modules; few commands need either. Both are in a program of their own beside it (gantry-tls, made from
// src/tls_main.cc), which is started when one does. Any thread.
//
// Errors of all three, besides those of the work itself: gantry-tls is not there, or cannot be started.
#pragma once

#include "client/certificates.h"
#include "client/connection.h"

namespace gantry::client {

// The words of gantry-tls's command line, each with its arguments.
inline constexpr const char* kConnectByName = "connect";          // HOST PORT
inline constexpr const char* kConnectWithTls = "tls";             // HOST PORT verify|trust CA CERT KEY
inline constexpr const char* kMakeCertificates = "certificates";  // DIRECTORY CLIENT DAYS HOST…

// A socket that is connected to the address; gantry-tls has no part in it any more.
Result<Fd> connect_by_name(const Address& address);

// One end of a socket pair, whose bytes gantry-tls carries until both directions have ended, or this end is closed.
Result<Fd> connect_with_tls(const Address& address, const TlsWish& tls);

// client/certificates.h's make_certificates.
Result<> make_certificates_elsewhere(const CertificateRequest& request);

}  // namespace gantry::client
