#include <nlohmann/json.hpp>

#include "cli/progress_rows.h"
#include "cli/progress_view.h"

namespace gantry::cli {

namespace {

const char* status_name(compose::Progress::Status status) {
  using Status = compose::Progress::Status;
  switch (status) {
    case Status::working:
      return "Working";
    case Status::done:
      return "Done";
    case Status::warning:
      return "Warning";
    case Status::error:
      return "Error";
  }
  return "";
}

}  // namespace

// Keys as Compose's `--progress json` has them, and `cause`; empty and zero ones are left out.
std::string json_line(const compose::Progress& progress) {
  nlohmann::ordered_json line;
  const auto put = [&line](const char* key, const std::string& value) {
    if (!value.empty()) line[key] = value;
  };
  const bool is_layer = !progress.layer.empty();
  put("id", is_layer ? progress.layer : resource_label(progress));
  if (is_layer) put("parent_id", resource_label(progress));
  put("status", status_name(progress.status));
  put("text", progress.text);
  put("details", progress.details);
  put("cause", progress.cause);
  if (progress.current != 0) line["current"] = progress.current;
  if (progress.total != 0) {
    line["total"] = progress.total;
    line["percent"] = progress.current * 100 / progress.total;
  }
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace gantry::cli
