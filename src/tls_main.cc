// gantry-tls.so: see client/tls_module.h.
#include "client/tls_module.h"

namespace {

gantry::Result<std::shared_ptr<gantry::TlsContext>> client_context(const gantry::TlsFiles& files, bool verify) {
  return gantry::TlsContext::client(files, verify);
}

}  // namespace

extern "C" const gantry::client::TlsModule gantry_tls_module;
extern "C" __attribute__((visibility("default"))) const gantry::client::TlsModule gantry_tls_module = {
    .client_context = client_context, .make_certificates = gantry::client::make_certificates};
