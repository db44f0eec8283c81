#include "cli/commands/commands.h"

namespace gantry::cli {

Result<std::optional<std::chrono::seconds>> seconds_of(const Arguments& arguments, std::string_view flag) {
  const auto number = arguments.number(flag);
  if (!number) return std::optional<std::chrono::seconds>();
  if (*number < -1) return invalid("--" + std::string(flag) + " must be a number of seconds, or -1 for no limit");
  return std::optional(std::chrono::seconds(*number));
}

std::string container_path(std::string_view id, std::string_view action) {
  std::string path = "/containers/" + client::url_encode(id);
  if (!action.empty()) path += "/" + std::string(action);
  return path;
}

// Slashes and the like belong to a reference and are understood unencoded.
std::string image_path(std::string_view reference, std::string_view action) {
  std::string path = "/images/";
  for (const char c : reference) {
    const bool as_it_is = c == '/' || c == ':' || c == '@';
    path += as_it_is ? std::string(1, c) : client::url_encode(std::string_view(&c, 1));
  }
  if (!action.empty()) path += "/" + std::string(action);
  return path;
}

Result<> post(client::ApiClient& api, const std::string& path, const std::string& body) {
  TRY(TRY(api.request("POST", path, body)).ok_body());
  return {};
}

compose::Progress container_progress(const ContainerRow& row, compose::Progress::Status status, std::string text,
                                     std::string details) {
  return {.resource = compose::Progress::Resource::container,
          .name = row.name,
          .service = row.service(),
          .status = status,
          .text = std::move(text),
          .details = std::move(details)};
}

SplitReference split_reference(std::string_view reference) {
  if (reference.empty()) return {.repository = "<none>", .tag = "<none>"};
  const std::string_view name = reference.substr(0, reference.find('@'));
  const size_t slash = name.rfind('/');
  const size_t colon = name.find(':', slash == std::string_view::npos ? 0 : slash);
  if (colon == std::string_view::npos) return {.repository = std::string(name), .tag = "<none>"};
  return {.repository = std::string(name.substr(0, colon)), .tag = std::string(name.substr(colon + 1))};
}

}  // namespace gantry::cli
