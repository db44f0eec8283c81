// Registry: the half that writes.
#include <nlohmann/json.hpp>
#include <thread>

#include "base/strings.h"
#include "engine/image/registry.h"

namespace gantry::engine {
namespace {

constexpr int kMostUploadAttempts = 5;
constexpr auto kUploadRetryPause = std::chrono::milliseconds(500);  // times the number of failures

// "0-499" → 500
std::optional<uint64_t> end_of_range(const std::string& header) {
  const size_t dash = header.find('-');
  if (dash == std::string::npos) return std::nullopt;
  const std::optional<uint64_t> last = parse_unsigned(trim(std::string_view(header).substr(dash + 1)));
  if (!last.has_value()) return std::nullopt;
  return *last == 0 ? 0 : *last + 1;
}

// The end of what is uploaded, from `start` on.
HttpRequest::Upload rest_of(const HttpRequest::Upload& content, uint64_t start) {
  return {.size = content.size - start, .read = [&content, start](uint64_t offset, std::span<char> into) {
            return content.read(start + offset, into);
          }};
}

}  // namespace

Error Registry::push_refusal(const HttpAnswer& answer, const std::string& doing) const {
  const nlohmann::json root = nlohmann::json::parse(answer.body, nullptr, false);
  std::string shown;
  if (root.is_object() && root.contains("errors") && root["errors"].is_array() && !root["errors"].empty()) {
    const nlohmann::json& first = root["errors"].front();
    if (first.is_object()) {
      std::string code = to_lower(first.value("code", std::string()));
      std::replace(code.begin(), code.end(), '_', ' ');
      shown = code + ": " + first.value("message", std::string());
    }
  }
  if (answer.status == 401 && shown.empty()) {  // as to a HEAD request, which has no body
    return Error(Code::unauthorized, "unauthorized: authentication required");
  }
  if (answer.status == 401 || answer.status == 403) {
    return Error(Code::forbidden, shown.empty() ? "denied: requested access to the resource is denied" : shown);
  }
  const bool passes = answer.status == 429 || (answer.status >= 500 && answer.status != 501);
  return Error(passes ? Code::unavailable : Code::internal,
               doing + " " + origin_name() + ": " +
                   (shown.empty() ? "received unexpected HTTP status " + std::to_string(answer.status) : shown));
}

Result<bool> Registry::has_blob(HttpClient& http, const std::string& digest) {
  const HttpRequest request{.method = "HEAD"};
  const HttpAnswer answer = TRY(send_patiently(http, origin(), request, path("/blobs/" + digest)));
  if (answer.status == 200) return true;
  if (answer.status == 404) return false;
  return push_refusal(answer, "asking for blob " + digest + " at");
}

Result<std::string> Registry::begin_upload(HttpClient& http, const std::string& digest, const std::string& from) {
  const HttpRequest request{.method = "POST"};
  std::string place = path("/blobs/uploads/");
  if (!from.empty()) place += "?mount=" + url_encoded(digest) + "&from=" + url_encoded(from);
  // Mounting needs the right to read the other repository, too. Who has it not gets an ordinary upload.
  HttpAnswer answer = TRY(send(http, origin(), request, place, scopes(from)));
  if (!from.empty() && answer.status != 201 && answer.status != 202) return begin_upload(http, digest, "");
  if (answer.status == 201) return std::string();
  if (answer.status != 202) return push_refusal(answer, "starting an upload at");
  if (answer.header("location").empty()) {
    return Error(Code::unavailable, origin_name() + " started an upload and did not say where");
  }
  return resolve_location(answer.url, answer.header("location"));
}

// How far the registry has got; `place` may move on.
Result<uint64_t> Registry::upload_offset(HttpClient& http, std::string& place) {
  const HttpAnswer answer = TRY(send(http, origin(), {}, place, scopes()));
  if (answer.status != 204 && answer.status != 200) return push_refusal(answer, "asking for an upload's state at");
  if (!answer.header("location").empty()) place = TRY(resolve_location(answer.url, answer.header("location")));
  return end_of_range(answer.header("range")).value_or(0);
}

Result<> Registry::upload(HttpClient& http, std::string place, const std::string& digest,
                          const HttpRequest::Upload& content, const std::function<bool()>& cancelled) {
  uint64_t offset = 0;
  int failures = 0;
  while (offset < content.size) {
    const HttpRequest::Upload rest = rest_of(content, offset);
    HttpRequest request{.method = "PATCH", .content_type = "application/octet-stream", .upload = &rest,
                        .cancelled = cancelled};
    request.headers["Content-Range"] = std::to_string(offset) + "-" + std::to_string(content.size - 1);
    Result<HttpAnswer> answer = send(http, origin(), std::move(request), place, scopes());
    if (answer.ok() && (answer->status == 202 || answer->status == 204)) {
      if (!answer->header("location").empty()) place = TRY(resolve_location(answer->url, answer->header("location")));
      offset = std::max(offset, end_of_range(answer->header("range")).value_or(content.size));
      failures = 0;
      continue;
    }
    if (!answer.ok() && answer.error().code() != Code::unavailable) return std::move(answer).error();
    const bool passes = !answer.ok() || answer->status == 416 || answer->status == 429 || answer->status >= 500;
    // docker-registry gives up an upload whose connection broke: it has written more than it has acknowledged. It may
    // notice only after we have asked how far it got.
    const bool is_forgotten = answer.ok() && failures > 0 && (answer->status == 400 || answer->status == 404);
    if (!passes && !is_forgotten) return push_refusal(*answer, "uploading to");
    if (++failures == kMostUploadAttempts) {
      return answer.ok() ? push_refusal(*answer, "uploading to") : std::move(answer).error();
    }
    if (cancelled && cancelled()) return Error(Code::cancelled, "cancelled");
    Result<uint64_t> reached = is_forgotten ? Result<uint64_t>(uint64_t{0}) : upload_offset(http, place);
    if (is_forgotten || (!reached.ok() && reached.error().code() != Code::unavailable)) {
      place = TRY(begin_upload(http, digest, ""));
      if (place.empty()) return {};
      offset = 0;
      continue;
    }
    const bool moved = reached.ok() && *reached > offset && *reached <= content.size;
    if (reached.ok() && *reached <= content.size) offset = *reached;
    if (!moved) std::this_thread::sleep_for(kUploadRetryPause * failures);  // the other side gets time to come back
  }
  HttpRequest request{.method = "PUT", .content_type = "application/octet-stream", .cancelled = cancelled};
  const std::string closing = place + (place.find('?') == std::string::npos ? "?" : "&") + "digest=" +
                              url_encoded(digest);
  const HttpAnswer answer = TRY(send(http, origin(), request, closing, scopes()));
  if (answer.status == 201 || answer.status == 204) return {};
  return push_refusal(answer, "uploading to");
}

Result<> Registry::put_manifest(HttpClient& http, const std::string& which, const std::string& media_type,
                                const std::string& text) {
  const HttpRequest request{.method = "PUT", .body = text, .content_type = media_type};
  const HttpAnswer answer = TRY(send_patiently(http, origin(), request, path("/manifests/" + which)));
  if (answer.status == 201 || answer.status == 200 || answer.status == 202) return {};
  return push_refusal(answer, "putting the manifest to");
}

}  // namespace gantry::engine
