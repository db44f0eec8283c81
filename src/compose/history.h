// How values came to be what they are: which variables are in them, what they replaced, which service they were
// inherited from. Values are known by their places. Errors name variables from it, `config --explain` tells all of it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace gantry::compose {

struct Place {
  int file = -1;  // as numbered by Report::add_file; -1: not from a file
  int line = 0;   // from 1; 0 = unknown
  int column = 0;
  friend auto operator<=>(const Place&, const Place&) = default;
};

struct History {
  // A text with variables.
  struct Interpolation {
    std::string written;    // as it is in the file
    std::string variables;  // a line each: "PORT comes from .env:3"
  };
  // A value that a later one took the place of.
  struct Replacement {
    Place by;
    Place what;
    std::string path;       // "services.web.image"
    std::string text;       // of the value that is gone
    std::string how;        // "overridden", "taken away by !reset", …
  };
  // A service that took over the attributes of another one.
  struct Extension {
    std::string service;
    std::string base;
    Place place;
    std::set<Place> inherited;  // where the values of the base stand
  };

  bool whole = false;       // replacements and extensions are kept, too: only who asks for them pays for them
  std::map<Place, Interpolation> interpolations;
  std::vector<Replacement> replacements;
  std::vector<Extension> extensions;
};

}  // namespace gantry::compose
