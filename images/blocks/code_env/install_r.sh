# An R library of its own. With a lock nothing is resolved; without one the installed versions are kept in lock.txt.
# CRAN_URL names another repository that is laid out as CRAN is.
set -eu
mkdir "$PREFIX/library"
export R_LIBS="$PREFIX/library" CRAN="${CRAN_URL:-https://cloud.r-project.org}"
exec Rscript --vanilla "$CONTEXT/install.R"
