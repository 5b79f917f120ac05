package errors

import "errors"

// Is is the standard library's errors.Is.
func Is(err, target error) bool { return errors.Is(err, target) }

// As is the standard library's errors.As.
func As(err error, target any) bool { return errors.As(err, target) }

// AsType is the standard library's errors.AsType.
func AsType[E error](err error) (E, bool) { return errors.AsType[E](err) }

// Unwrap is the standard library's errors.Unwrap.
func Unwrap(err error) error { return errors.Unwrap(err) }

// Join is the standard library's errors.Join.
func Join(errs ...error) error { return errors.Join(errs...) }
