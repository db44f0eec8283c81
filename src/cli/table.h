// Rows and columns of text as Docker's tools print them: columns padded to the widest cell, three spaces between
// them, no padding behind the last. Pure.
#pragma once

#include <string>
#include <vector>

namespace gantry::cli {

class Table {
 public:
  explicit Table(std::vector<std::string> header);
  void add(std::vector<std::string> row);  // as many cells as the header has
  // The header line comes even without rows.
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace gantry::cli
