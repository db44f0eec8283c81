#include "engine/image/registry_settings.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <algorithm>
#include <chrono>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "engine/image/http_proxy.h"

namespace gantry::engine {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostTokens = 1000;

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// "[::1]:5000" → "::1", "host:5000" → "host"
std::string host_part(const std::string& domain) {
  if (domain.starts_with('[')) return domain.substr(1, domain.find(']') - 1);
  return domain.substr(0, domain.find(':'));
}

std::vector<std::string> addresses_of(const std::string& host) {
  std::vector<std::string> addresses;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), nullptr, nullptr, &found) != 0) return addresses;
  const ScopeExit release([found] { freeaddrinfo(found); });
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    char text[INET6_ADDRSTRLEN] = "";
    const void* bytes = at->ai_family == AF_INET
                            ? static_cast<const void*>(&reinterpret_cast<sockaddr_in*>(at->ai_addr)->sin_addr)
                            : &reinterpret_cast<sockaddr_in6*>(at->ai_addr)->sin6_addr;
    if (inet_ntop(at->ai_family, bytes, text, sizeof text) != nullptr) addresses.emplace_back(text);
  }
  return addresses;
}

bool is_insecure(const RegistrySettings& settings, const std::string& domain) {
  const std::string host = host_part(domain);
  if (is_loopback_host(to_lower(host))) return true;
  std::optional<std::vector<std::string>> addresses;
  for (const std::string& entry : settings.insecure) {
    if (entry == domain || entry == host) return true;
    if (entry.find('/') == std::string::npos) continue;
    if (!addresses.has_value()) addresses = addresses_of(host);
    const auto inside = [&](const std::string& address) { return address_in_network(address, entry); };
    if (std::any_of(addresses->begin(), addresses->end(), inside)) return true;
  }
  return false;
}

Result<> read_certificates(const RegistrySettings& settings, RegistryHost& host) {
  for (const fs::path& parent : settings.certificates) {
    std::error_code ignored;
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(parent / host.name, ignored)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) {
      const std::string extension = file.extension().string();
      if (extension == ".crt") host.tls.authorities.push_back(file.string());
      if (extension != ".cert") continue;
      const fs::path key = fs::path(file).replace_extension(".key");
      if (!fs::exists(key, ignored)) {
        return invalid("missing key " + key.filename().string() + " for client certificate " +
                       file.filename().string() + ". CA certificates must use the extension .crt");
      }
      host.tls.certificate = file.string();
      host.tls.key = key.string();
    }
    if (!files.empty()) break;
  }
  return {};
}

}  // namespace

std::optional<std::string> TokenCache::get(const std::string& key) {
  std::lock_guard lock(mutex_);
  const auto found = tokens_.find(key);
  if (found == tokens_.end() || found->second.expires_ms <= now_ms()) return std::nullopt;
  return found->second.text;
}

void TokenCache::put(const std::string& key, const std::string& token, int64_t seconds) {
  std::lock_guard lock(mutex_);
  if (tokens_.size() >= kMostTokens) tokens_.clear();
  // A little early, so that none runs out on its way.
  tokens_[key] = {.text = token, .expires_ms = now_ms() + std::max<int64_t>(seconds - 5, 1) * 1000};
}

void TokenCache::forget(const std::string& key) {
  std::lock_guard lock(mutex_);
  tokens_.erase(key);
}

Result<> RegistrySettings::check() const {
  for (const std::string& entry : insecure) {
    const bool is_network = entry.find('/') != std::string::npos;
    const std::string address = entry.substr(0, entry.find('/'));
    if (entry.empty() || entry.find("://") != std::string::npos ||
        (is_network && !address_in_network(address, entry))) {
      return invalid("insecure registry " + gantry::quoted(entry) + ": use HOST, HOST:PORT or ADDRESS/BITS");
    }
  }
  for (const std::string& url : mirrors) TRY(describe_mirror(*this, url));
  return {};
}

Result<RegistryHost> describe_registry(const RegistrySettings& settings, const std::string& domain) {
  RegistryHost host{.name = domain == "docker.io" ? "registry-1.docker.io" : domain};
  TRY(read_certificates(settings, host));
  host.may_be_plain = is_insecure(settings, domain);
  // Who has put an authority there wants it to be checked.
  host.verifies_tls = !host.may_be_plain || !host.tls.authorities.empty();
  return host;
}

Result<RegistryHost> describe_mirror(const RegistrySettings& settings, const std::string& url) {
  const size_t scheme_end = url.find("://");
  const std::string scheme = url.substr(0, scheme_end);
  if (scheme_end == std::string::npos || (scheme != "http" && scheme != "https")) {
    return invalid("registry mirror " + gantry::quoted(url) + ": use http://HOST or https://HOST");
  }
  std::string name = url.substr(scheme_end + 3);
  while (name.ends_with('/')) name.pop_back();
  if (name.empty() || name.find_first_of("/?#@") != std::string::npos) {
    return invalid("registry mirror " + gantry::quoted(url) + ": a host and no path, query or user");
  }
  RegistryHost host = TRY(describe_registry(settings, name));
  host.scheme = scheme;
  if (scheme == "http") host.may_be_plain = true;
  return host;
}

}  // namespace gantry::engine
