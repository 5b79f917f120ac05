package smoothing

import (
	"dbslm/services/ngram"
	"dbslm/services/ngram/quant"
)

// Ranges returns the low ends of the codebooks that hold the least logarithms; zero for exact storage.
func Ranges(storage ngram.Storage, least Least) Least {
	switch bits := storage.Bits(); bits {
	case 8:
		return Least{
			Unigram: quant.Range(quant.Unigram, unigramBits, least.Unigram),
			Logprob: quant.Range(quant.Logprob, bits, least.Logprob),
			Backoff: quant.Range(quant.Backoff, bits, least.Backoff),
		}
	case 16:
		lo := quant.Range(quant.Logprob, bits, min(least.Unigram, least.Logprob))
		return Least{Unigram: lo, Logprob: lo, Backoff: quant.Range(quant.Backoff, bits, least.Backoff)}
	}
	return Least{}
}

const unigramBits = 12

// Books makes the codebooks with the given low ends; nil for exact storage. In 16 bits unigrams share that of n-grams.
func Books(storage ngram.Storage, lo Least) (unigram, logprob, backoff *quant.Book, err error) {
	bits := storage.Bits()
	if bits == 0 {
		return nil, nil, nil, nil
	}
	if logprob, err = quant.New(quant.Logprob, bits, lo.Logprob); err != nil {
		return nil, nil, nil, err
	}
	unigram = logprob
	if bits == 8 {
		if unigram, err = quant.New(quant.Unigram, unigramBits, lo.Unigram); err != nil {
			return nil, nil, nil, err
		}
	}
	backoff, err = quant.New(quant.Backoff, bits, lo.Backoff)
	return unigram, logprob, backoff, err
}
