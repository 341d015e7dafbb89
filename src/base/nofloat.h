/* nofloat.h - included last by every file on the way of money.
 *
 * From here on the words of binary floating point do not compile.  It stands after the last
 * include because system headers declare functions that take or return a double.
 * tool/check_pure.sh sees to it that the files that must include this do, and last.
 */
#ifndef FARTHING_BASE_NOFLOAT_H
#define FARTHING_BASE_NOFLOAT_H

#pragma GCC poison float double

#endif
