#include "cli/junit.h"

#include <cstdio>

namespace gantry::cli {

namespace {

// Control characters are no XML, not even escaped.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') out += "&amp;";
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '"') out += "&quot;";
    else if (static_cast<unsigned char>(c) >= ' ' || c == '\n' || c == '\t') out += c;
  }
  return out;
}

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", seconds);
  return text;
}

}  // namespace

std::string junit_file(const std::vector<TestResult>& results) {
  size_t failures = 0;
  double seconds = 0;
  std::string cases;
  for (const TestResult& result : results) {
    failures += result.failure.empty() ? 0 : 1;
    seconds += result.seconds;
    cases += "    <testcase classname=\"" + escaped(result.suite) + "\" name=\"" + escaped(result.name) + "\" time=\"" +
             seconds_text(result.seconds) + "\"";
    if (result.failure.empty()) {
      cases += "/>\n";
    } else {
      cases += ">\n      <failure message=\"" + escaped(result.failure) + "\">" + escaped(result.output) +
               "</failure>\n    </testcase>\n";
    }
  }
  const std::string counts = " tests=\"" + std::to_string(results.size()) + "\" failures=\"" + std::to_string(failures) +
                             "\" time=\"" + seconds_text(seconds) + "\"";
  const std::string suite = results.empty() ? "" : results.front().suite;
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites" + counts + ">\n  <testsuite name=\"" + escaped(suite) +
         "\"" + counts + ">\n" + cases + "  </testsuite>\n</testsuites>\n";
}

}  // namespace gantry::cli
