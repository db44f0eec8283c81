// timings: which steps of the last operation took how long, and which of them decided about the whole.
#include "cli/commands/commands.h"
#include "cli/commands/up_options.h"
#include "cli/operation.h"
#include "compose/timings.h"

namespace gantry::cli {

namespace {

constexpr Flag kTimingsFlags[] = {
    {.name = "format", .kind = FlagKind::text, .value_name = "FORMAT", .help = "text, json, svg or trace (Chrome's)"},
};

Result<int> timings(Session& session, const Arguments& arguments) {
  const std::string format = arguments.text("format", "text");
  if (format != "text" && format != "json" && format != "svg" && format != "trace") {
    return invalid("unsupported format " + gantry::quoted(format) + ": give text, json, svg or trace");
  }
  session.out.write(TRY(timings_of(session, TRY(session.project_name()), format)));
  return 0;
}

}  // namespace

Result<std::string> timings_of(Session& session, const std::string& project, const std::string& format) {
  const std::string json = TRY(TRY(TRY(session.api())->request("GET", project_path(project, "timings"))).ok_body());
  if (format == "json") return json;
  const auto timings = TRY(compose::timings_from_json(json));
  if (format == "svg") return compose::timings_svg(timings);
  if (format == "trace") return compose::timings_trace(timings);
  return compose::timings_text(timings, session.out.size().columns);
}

const Command kTimings{.syntax = {.name = "timings",
                                  .summary = "Show how long the steps of the last operation took",
                                  .flags = kTimingsFlags,
                                  .most_arguments = 0},
                       .run = timings};

}  // namespace gantry::cli
