// OpenSSL is half of what this program would consist of, and few commands need it: those parts are a shared object of their
// own beside it (gantry-tls.so, made from src/tls_main.cc), which is loaded when one does. Any thread.
#pragma once

#include <memory>

#include "base/result.h"
#include "base/tls.h"
#include "client/certificates.h"

namespace gantry::client {

struct TlsModule {
  Result<std::shared_ptr<TlsContext>> (*client_context)(const TlsFiles& files, bool verify);  // TlsContext::client
  Result<> (*make_certificates)(const CertificateRequest& request);
};

// The name of its TlsModule.
inline constexpr const char* kTlsModuleSymbol = "gantry_tls_module";

// Stays loaded. Errors: it is not there, or cannot be loaded.
Result<const TlsModule*> tls_module();

}  // namespace gantry::client
