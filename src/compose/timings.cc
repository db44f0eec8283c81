#include "compose/timings.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

namespace gantry::compose {
namespace {

using OrderedJson = nlohmann::ordered_json;
using std::chrono::nanoseconds;

double seconds(nanoseconds time) { return std::chrono::duration<double>(time).count(); }

std::string seconds_text(nanoseconds time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3fs", seconds(time));
  return text;
}

// What a step waited for last: of its prerequisites, or of everything in the stages before.
const StepTiming* decisive(const Timings& timings, const StepTiming& step) {
  const StepTiming* last = nullptr;
  for (const StepTiming& other : timings.steps) {
    const bool named = std::find(step.after.begin(), step.after.end(), other.id) != step.after.end();
    if (!named && other.stage >= step.stage) continue;
    if (other.end > step.begin) continue;
    if (last == nullptr || other.end > last->end) last = &other;
  }
  return last;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') out += "&amp;";
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else out += c;
  }
  return out;
}

std::set<int> steps_on_path(const Timings& timings) {
  std::set<int> ids;
  for (const PathPiece& piece : critical_path(timings)) ids.insert(piece.step);
  ids.erase(0);
  return ids;
}

}  // namespace

std::vector<PathPiece> critical_path(const Timings& timings) {
  std::vector<PathPiece> path;
  const StepTiming* step = nullptr;
  for (const StepTiming& other : timings.steps) {
    if (step == nullptr || other.end > step->end) step = &other;
  }
  nanoseconds reached = timings.total;
  const auto put = [&](std::string what, int id, nanoseconds begin) {
    if (begin < reached) path.push_back({.what = std::move(what), .step = id, .begin = begin, .end = reached});
    reached = std::min(reached, begin);
  };
  if (step != nullptr) put("finishing", 0, step->end);
  while (step != nullptr) {
    put(step->what, step->id, step->begin);
    const StepTiming* before = decisive(timings, *step);
    if (before != nullptr) put("waiting for its turn", 0, before->end);
    step = before;
  }
  put("looking and planning", 0, nanoseconds(0));
  std::reverse(path.begin(), path.end());
  return path;
}

std::string to_json(const Timings& timings) {
  OrderedJson json = {{"total_ns", timings.total.count()}, {"steps", OrderedJson::array()}, {"critical_path", OrderedJson::array()}};
  for (const StepTiming& step : timings.steps) {
    json["steps"].push_back({{"id", step.id},
                             {"what", step.what},
                             {"service", step.service},
                             {"stage", step.stage},
                             {"after", step.after},
                             {"begin_ns", step.begin.count()},
                             {"end_ns", step.end.count()}});
  }
  for (const PathPiece& piece : critical_path(timings)) {
    json["critical_path"].push_back(
        {{"what", piece.what}, {"step", piece.step}, {"begin_ns", piece.begin.count()}, {"end_ns", piece.end.count()}});
  }
  return json.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

Result<Timings> timings_from_json(std::string_view text) {
  const OrderedJson json = OrderedJson::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("steps") || !json["steps"].is_array()) {
    return internal_error("the daemon's answer has no timings");
  }
  const auto number = [](const OrderedJson& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_number_integer() ? found->get<int64_t>() : 0;
  };
  const auto word = [](const OrderedJson& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  Timings timings{.total = nanoseconds(number(json, "total_ns"))};
  for (const OrderedJson& step : json["steps"]) {
    StepTiming timing{.id = static_cast<int>(number(step, "id")),
                      .what = word(step, "what"),
                      .service = word(step, "service"),
                      .stage = static_cast<int>(number(step, "stage")),
                      .begin = nanoseconds(number(step, "begin_ns")),
                      .end = nanoseconds(number(step, "end_ns"))};
    for (const OrderedJson& id : step.value("after", OrderedJson::array())) {
      if (id.is_number_integer()) timing.after.push_back(id.get<int>());
    }
    timings.steps.push_back(std::move(timing));
  }
  return timings;
}

std::string timings_text(const Timings& timings, int columns) {
  const std::set<int> path = steps_on_path(timings);
  size_t width = 4;
  for (const StepTiming& step : timings.steps) width = std::max(width, step.what.size());
  width = std::min<size_t>(width, 40);
  const size_t bars = static_cast<size_t>(std::max(columns, 40)) > width + 24 ? static_cast<size_t>(columns) - width - 14 : 20;
  const double scale = timings.total.count() > 0 ? static_cast<double>(bars) / seconds(timings.total) : 0;
  std::vector<const StepTiming*> ordered;
  for (const StepTiming& step : timings.steps) ordered.push_back(&step);
  std::stable_sort(ordered.begin(), ordered.end(), [](const auto* a, const auto* b) { return a->begin < b->begin; });
  std::string text;
  for (const StepTiming* step : ordered) {
    const auto first = std::min(static_cast<size_t>(seconds(step->begin) * scale), bars - 1);
    const auto length = std::clamp<size_t>(static_cast<size_t>(seconds(step->end - step->begin) * scale), 1, bars - first);
    std::string name = step->what.substr(0, width);
    name.resize(width, ' ');
    const bool critical = path.contains(step->id);
    text += (critical ? "* " : "  ") + name + " " + std::string(first, ' ');
    for (size_t i = 0; i < length; ++i) text += critical ? "█" : "░";
    text += std::string(bars - first - length, ' ') + " " + seconds_text(step->end - step->begin) + "\n";
  }
  text += "\nCritical path:\n";
  for (const PathPiece& piece : critical_path(timings)) {
    text += "  " + seconds_text(piece.end - piece.begin) + "  " + piece.what + "\n";
  }
  return text + "  " + seconds_text(timings.total) + "  in all\n";
}

std::string timings_svg(const Timings& timings) {
  constexpr int kRow = 22;
  constexpr int kLeft = 260;
  constexpr int kWidth = 900;
  const std::set<int> path = steps_on_path(timings);
  const double scale = timings.total.count() > 0 ? (kWidth - kLeft - 70) / seconds(timings.total) : 0;
  const int height = static_cast<int>(timings.steps.size() + 1) * kRow + 10;
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + std::to_string(kWidth) + "\" height=\"" +
                    std::to_string(height) + "\" font-family=\"sans-serif\" font-size=\"12\">\n";
  int y = 8;
  for (const StepTiming& step : timings.steps) {
    char row[512];
    std::snprintf(row, sizeof row,
                  "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"14\" fill=\"%s\"/><text x=\"%.1f\" y=\"%d\">%s</text>",
                  kLeft + seconds(step.begin) * scale, y, std::max(seconds(step.end - step.begin) * scale, 1.0),
                  path.contains(step.id) ? "#c33" : "#8ab",
                  kLeft + seconds(step.end) * scale + 4, y + 11, seconds_text(step.end - step.begin).c_str());
    svg += "<text x=\"4\" y=\"" + std::to_string(y + 11) + "\">" + escaped(step.what) + "</text>" + row + "\n";
    y += kRow;
  }
  return svg + "<text x=\"4\" y=\"" + std::to_string(y + 11) + "\">in all " + seconds_text(timings.total) + "</text>\n</svg>\n";
}

std::string timings_trace(const Timings& timings) {
  const std::set<int> path = steps_on_path(timings);
  OrderedJson events = OrderedJson::array();
  for (const StepTiming& step : timings.steps) {
    events.push_back({{"name", step.what},
                      {"cat", path.contains(step.id) ? "critical" : "step"},
                      {"ph", "X"},
                      {"ts", step.begin.count() / 1000},
                      {"dur", (step.end - step.begin).count() / 1000},
                      {"pid", 1},
                      {"tid", step.id}});
  }
  return OrderedJson({{"traceEvents", events}, {"displayTimeUnit", "ms"}}).dump(-1, ' ', false, OrderedJson::error_handler_t::replace) +
         "\n";
}

}  // namespace gantry::compose
