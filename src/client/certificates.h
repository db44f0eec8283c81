// Certificates for the API on TCP, made with keys on P-256.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace gantry::client {

struct CertificateRequest {
  std::filesystem::path directory;
  std::vector<std::string> hosts;  // names and addresses of the daemon's machine; localhost is always in
  std::string client = "client";   // who the client's certificate is for
  int days = 825;                  // the authority lives ten years
};

// Makes ca.pem, ca-key.pem, server-cert.pem, server-key.pem, cert.pem and key.pem (the client's). An authority that is
// there already signs the others anew; those are replaced. Keys are 0600. Errors: a file that cannot be written or
// read.
Result<> make_certificates(const CertificateRequest& request);

}  // namespace gantry::client
