// Why a service, network or volume is not what it was, in words of the file: which attribute changed, where it is
// written, what it was and what it is.
//
//   environment.URL changed (override.yaml:12, was "a", now "b")
//   ports added "8080:80" (compose.yaml:7)
//
// Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "compose/desired.h"
#include "compose/project.h"

namespace gantry::compose {

struct Difference {
  std::string path;  // within the element: "environment.URL"
  std::string was;   // compact JSON; "" if it was not there
  std::string now;   // "" if it is gone
  Mark mark;         // of what is written now, or of what encloses what is gone
  friend bool operator==(const Difference&, const Difference&) = default;
};

// `subject`: path of the element in the project, "services.web". The two texts: its canonical JSON then and now.
// Attributes that do not count for the hash (build, scale, depends_on, …) are left out.
std::vector<Difference> differences(const Project& project, const std::string& subject, const std::string& was,
                                    const std::string& now);

// In one line; values of attributes that look like secrets are not shown. "" for none.
std::string explain_differences(const std::vector<Difference>& differences);

// Fills in what became different since `before`, the project of the last `up`.
void add_earlier_versions(Desired& desired, const Project& now, const Project& before);

}  // namespace gantry::compose
